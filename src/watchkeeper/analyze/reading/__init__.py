"""What explainers read of a case: who called whom, where time was spent, what came first."""
