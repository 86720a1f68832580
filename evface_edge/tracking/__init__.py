"""Where the face is: found by search, followed by its landmarks, held while it is still."""
