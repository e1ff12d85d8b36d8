"""A checked space -> what running it would take."""
