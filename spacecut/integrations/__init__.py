"""What others search with: each integration is imported only where it is used."""
