"""The URLs of the project."""

from django.urls import path

from shop import views

urlpatterns = [path("start/<int:n>", views.start), path("async/<int:n>", views.start_async)]
