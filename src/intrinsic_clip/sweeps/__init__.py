"""Run sweeps: skip finished runs, resume interrupted ones, and report the outcome of each."""
