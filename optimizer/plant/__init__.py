"""The equations of battery, car, charger and house: pure scalar functions.

They keep to what Numba compiles (numbers, tuples, `math`), because the same functions run
in the virtual home and, compiled, in the backtest.  Named tuples carry their parameters.
"""
