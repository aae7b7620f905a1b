"""The virtual home and the virtual SolaX cloud: everything needed to run without hardware."""
