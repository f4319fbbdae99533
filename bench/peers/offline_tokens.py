"""Counting tokens without the encoding file that Inspect AI would fetch: importing this replaces it by words."""

import contextlib

with contextlib.suppress(ImportError):
    import tiktoken

    class _Encoding:
        def encode(self, text, **_):
            return text.split()

    tiktoken.get_encoding = tiktoken.encoding_for_model = lambda *_: _Encoding()
