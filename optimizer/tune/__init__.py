"""A strategy's parameters, searched on some weeks of the owner's history and judged on the others."""
