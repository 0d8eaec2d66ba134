"""The terminal: each command parses, calls one public function of emugraph, and renders its answer."""
