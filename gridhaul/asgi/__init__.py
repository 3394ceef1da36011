"""Parts of the web layer (ASGI) that the api and the chunk service share."""
