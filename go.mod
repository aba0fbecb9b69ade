module ouroboros

go 1.26
