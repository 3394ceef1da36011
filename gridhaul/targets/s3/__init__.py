"""An S3 server as a target: a multipart upload under the final name, which nobody sees before its completion."""
