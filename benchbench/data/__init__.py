"""Files of datasets: download, checksums, archives, passports, contact sheets."""
