"""Questions that need several trainings and one comparison."""
