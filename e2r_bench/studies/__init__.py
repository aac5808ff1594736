"""Does a number hold? Tests, intervals, studies and verdicts, with calibrated error rates."""
