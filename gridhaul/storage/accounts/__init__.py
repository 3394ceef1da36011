"""Accounts in the collection `auth`: their records, what their files count against the quota, and dumps of them."""
