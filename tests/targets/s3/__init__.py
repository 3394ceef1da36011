"""Tests of the target kind `s3`, most of them against real servers."""
