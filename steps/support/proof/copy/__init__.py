"""Copy production, and keep the copy as a backup."""
