"""Solar-surplus charging with a SolaX EV charger; `optimizer.domain` is the place to start reading."""
