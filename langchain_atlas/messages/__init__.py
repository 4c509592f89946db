"""What a conversation is made of, and how it is read and sent."""
