"""The Python client of the HTTP API: send the server's files, follow transfers, start checks, manage accounts."""

from gridhaul.client.batch_records import BatchOrder, BatchTarget
from gridhaul.client.client import Client, DeliverTo, Order
from gridhaul.client.errors import ApiError, ApiInsecure, ApiUnreachable, ClientError
from gridhaul.client.following import Transfer
from gridhaul.client.login import logged_in

__all__ = [
    "ApiError",
    "ApiInsecure",
    "ApiUnreachable",
    "BatchOrder",
    "BatchTarget",
    "Client",
    "ClientError",
    "DeliverTo",
    "Order",
    "Transfer",
    "logged_in",
]
