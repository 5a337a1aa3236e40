require "pl.pretty"
