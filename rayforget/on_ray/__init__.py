"""The only folder that imports Ray: warm slots and the sweep."""
