"""Held-out accuracy is said first to last, and by length."""

from bitzero_jax.evaluate.held_out import verdict


def test_verdict_says_first_and_last_accuracy_and_the_constant(
  workdir, written
):
  _, page = written(workdir)
  assert page.text("h1") == ["run <1>"]
  assert (
    "Primary measure, mean of three accuracies over the trained lengths:"
    " 0.011 → 0.194. Held-out accuracy: deduction 1.1 % → 31.1 %,"
    " abduction 1.1 % → 16.1 %,"
    " induction 1.1 % → 11.1 %; the best constant answer scores 8.2 %."
  ) in page.text("p")


def test_verdict_before_the_first_evaluation(eval_line):
  assert verdict([{"step": 1}]) == "No accuracy was measured yet."
  assert verdict([{"step": 1, "solve_rate/abduction": 0.5}]) == (
    "Not evaluated yet; solve rate on fresh tasks: abduction 50 %."
  )
  assert verdict([eval_line(0)], "log_loss") == (
    "Primary measure, mean of three log-losses over the trained lengths: 2.000."
    " Held-out accuracy: deduction 1.1 %, abduction 1.1 %, induction 1.1 %;"
    " the best constant answer scores 8.2 %."
  )


def test_length_buckets_stand_in_order_of_length(workdir, written, svg_of):
  source, _ = written(workdir)
  svg = svg_of(source, "Deduction by program length")
  labels = [x.text for x in svg.iter("text") if x.get("class") == "tick mid"]
  assert labels == ["2-3", "10-11", "long 9-14"]
  values = [x.text for x in svg.iter("text") if x.get("class") == "value mid"]
  assert values == ["30", "40", "20", "30", "10", "20"]
