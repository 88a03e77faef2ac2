"""The command `dialbridge`: every process of the product, the lab and the demonstration."""
