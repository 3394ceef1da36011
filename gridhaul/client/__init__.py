"""The Python client of the HTTP API: send files of the server and follow them, check them, manage accounts."""

from gridhaul.client.client import Client, Order, Transfer
from gridhaul.client.errors import ApiError, ApiInsecure, ApiUnreachable, ClientError
from gridhaul.client.login import logged_in

__all__ = ["ApiError", "ApiInsecure", "ApiUnreachable", "Client", "ClientError", "Order", "Transfer", "logged_in"]
