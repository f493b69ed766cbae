"""TrainingRun: one model trained from one frozen dataset, over as many attempts as its budgets allow."""
