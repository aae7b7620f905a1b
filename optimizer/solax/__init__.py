"""The vendor's edge: everything that knows how the SolaX cloud spells things.

When something goes wrong here:

- Stale: a reading keeps the vendor's `uploadTime` verbatim; whether it is old is judged above, by its change.
- Safe: nothing here decides; every trouble leaves as one `CloudError` that says what the caller can do.
- Retries: none.  A call is sent once, is reserved in the budget before and recorded after it, always.
- Gives up: after `call_timeout_s` for the whole call, after 256 KiB of decoded answer.
- The human sees: the cloud's own words, stripped of control characters and of the token, and a hint.
"""
