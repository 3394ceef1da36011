"""The work on a batch's own record: finding, planning, registering, retrying and deleting its members."""
