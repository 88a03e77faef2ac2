"""`dialbridge demo`: one real call, shown and proved."""
