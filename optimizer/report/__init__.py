"""How good a day was: scored from the log, told as text, picture and page."""
