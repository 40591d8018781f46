"""Many runs: skip what is finished, resume what was interrupted, report what became of each."""
