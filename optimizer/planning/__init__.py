"""Looking ahead with all that is known: the clairvoyant bound, and the programmes that plan."""
