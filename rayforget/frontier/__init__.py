"""Points -> the trade-off frontier and what can honestly be said of it; numpy only."""
