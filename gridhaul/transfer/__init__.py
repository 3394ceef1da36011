"""The rules of transfers: records, states, errors and ports. Pure, without input or output."""
