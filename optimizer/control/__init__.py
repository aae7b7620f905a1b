"""The pure core: readings and a strategy's proposal in, a guarded decision and the next step out.

- `freshness`  how old the data is, and what that still permits
- `surplus`, `sharing`  what the sun leaves for the cars, and who gets it
- `guards`  who may have a say after the strategy, in which order
- `commands`  what to do about a charger that is not in the wanted mode
- `polling`  what to read next, and when
- `budget`  when the next call may go

Nothing here reads a clock, draws a random number or does I/O: every `*_s` is handed in, on one
monotonic scale.
"""
