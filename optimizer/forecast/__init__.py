"""What sun, house and car will do: from the owner's own past, and from those who forecast the weather."""
