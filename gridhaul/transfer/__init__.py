"""What a transfer is: pure rules, no input or output."""
