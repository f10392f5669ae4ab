from data_prep.libraries import start_as_expected

start_as_expected()  # before any module here loads Keras
