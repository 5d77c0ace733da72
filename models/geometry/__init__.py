"""Pure tensor maths of rigid motion and shape; knows no chemistry."""
