"""What several multi-task optimizers use."""
