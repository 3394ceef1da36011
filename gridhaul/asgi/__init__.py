"""What both web services share."""
