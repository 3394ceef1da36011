"""Parts of a delivery to a target: names, sending, looking, receipts; and many small deliveries together."""
