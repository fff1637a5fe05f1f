"""Who may say so, how messages are opened, and where chain and key come from."""
