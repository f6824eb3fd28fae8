"""Wire formats: conversion between bytes and values. Pure: no asyncio, zmq, engineio, logging or clock."""
