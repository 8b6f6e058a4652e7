"""Two schemas compared by meaning: their differences, which of them block a change, and both texts of each."""
