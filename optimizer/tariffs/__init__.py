"""What energy costs: slots of a quarter hour, answers of price services, windows, when to ask.  Pure."""
