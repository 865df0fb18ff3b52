"""The durable engine: it knows neither IPython nor DuckDB."""
